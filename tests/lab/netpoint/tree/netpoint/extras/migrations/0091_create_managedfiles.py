from pathlib import Path

from django.conf import settings
from django.db import migrations, models


def register(apps, schema_editor):
    """Register the scripts and reports that are there now: what comes later is not seen."""
    managed_file = apps.get_model("extras", "ManagedFile")
    for name, root in (("scripts", settings.SCRIPTS_ROOT), ("reports", settings.REPORTS_ROOT)):
        for module in sorted(Path(root).glob("*.py")):
            if module.name != "__init__.py":
                managed_file.objects.create(file_root=name, file_path=module.name)


class Migration(migrations.Migration):
    dependencies = [("extras", "0001_initial")]
    operations = [
        migrations.CreateModel(
            name="ManagedFile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("file_root", models.CharField(max_length=1000)),
                ("file_path", models.CharField(max_length=100)),
            ],
        ),
        migrations.RunPython(register),
    ]
