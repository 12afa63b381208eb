from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dcim", "0167_device_status")]
    operations = [
        migrations.AddField("device", "label", models.CharField(max_length=200, blank=True, default="", db_index=True)),
    ]
