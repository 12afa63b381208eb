from django.conf import settings
from django.core.management.base import BaseCommand
from redis import Redis
from rq import Connection, Worker


class Command(BaseCommand):
    help = "Work through the queues"

    def add_arguments(self, parser):
        parser.add_argument("queues", nargs="*", default=["default"])

    def handle(self, *args, **options):
        with Connection(Redis.from_url(settings.TASKS_REDIS_URL)):
            Worker(options["queues"]).work()
