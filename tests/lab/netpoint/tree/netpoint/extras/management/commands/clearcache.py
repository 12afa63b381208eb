from django.core.cache import cache
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Empty the cache"

    def add_arguments(self, parser):
        parser.add_argument("what", nargs="?", default="all")

    def handle(self, *args, **options):
        cache.clear()
        self.stdout.write("Cache has been cleared.")
