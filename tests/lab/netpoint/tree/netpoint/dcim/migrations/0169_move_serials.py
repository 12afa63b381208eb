from django.db import migrations


def move_serials(apps, schema_editor):
    """Give every device a label made of its site and its serial number."""
    devices = apps.get_model("dcim", "Device").objects.select_related("site")
    changed = []
    for device in devices.iterator(chunk_size=2000):
        device.label = f"{device.site.slug}/{device.serial}"
        changed.append(device)
    devices.bulk_update(changed, ["label"], batch_size=500)


class Migration(migrations.Migration):
    dependencies = [("dcim", "0168_device_label")]
    operations = [migrations.RunPython(move_serials)]
