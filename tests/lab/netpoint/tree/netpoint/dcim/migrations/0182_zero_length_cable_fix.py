from django.db import migrations


def fix(apps, schema_editor):
    apps.get_model("dcim", "Cable").objects.filter(length=0).update(length=None)


class Migration(migrations.Migration):
    dependencies = [("dcim", "0171_remove_device_serial")]
    operations = [migrations.RunPython(fix)]
