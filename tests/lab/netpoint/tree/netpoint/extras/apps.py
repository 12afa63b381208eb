from django.apps import AppConfig


class ExtrasConfig(AppConfig):
    name = "extras"

    def ready(self):
        from extras import signals  # noqa: F401  importing it connects them
