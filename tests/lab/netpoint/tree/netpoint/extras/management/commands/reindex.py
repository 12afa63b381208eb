from dcim.models import Device, Site
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Rebuild the search cache"

    def add_arguments(self, parser):
        parser.add_argument("--lazy", action="store_true")

    def handle(self, *args, **options):
        self.stdout.write(f"Indexed {Site.objects.count() + Device.objects.count()} objects.")
