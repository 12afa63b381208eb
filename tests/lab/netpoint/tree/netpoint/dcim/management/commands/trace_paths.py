from dcim.models import Cable
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Find cables without a path"

    def add_arguments(self, parser):
        parser.add_argument("--no-input", action="store_true")

    def handle(self, *args, **options):
        self.stdout.write(f"Found {Cable.objects.count()} cables with a path")
        self.stdout.write("Finished.")
