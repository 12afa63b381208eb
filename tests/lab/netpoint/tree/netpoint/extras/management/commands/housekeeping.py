from datetime import timedelta

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.utils import timezone
from extras.models import ObjectChange


class Command(BaseCommand):
    help = "Do what is due every night"

    def handle(self, *args, **options):
        call_command("clearsessions")
        old = timezone.now() - timedelta(days=settings.CHANGELOG_RETENTION)
        deleted, _ = ObjectChange.objects.filter(time__lt=old).delete()
        self.stdout.write(f"Deleted {deleted} expired changes.")
        self.stdout.write("Finished.")
