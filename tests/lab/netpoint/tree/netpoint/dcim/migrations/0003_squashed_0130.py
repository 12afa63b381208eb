import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = [("dcim", "0003_device_serial"), ("dcim", "0122_cable"), ("dcim", "0130_sitegroup")]
    dependencies = [("dcim", "0001_initial")]
    operations = [
        migrations.AddField("device", "serial", models.CharField(max_length=50, blank=True, default="")),
        migrations.CreateModel(
            name="Cable",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("label", models.CharField(max_length=100, blank=True, default="")),
                ("length", models.PositiveSmallIntegerField(null=True, blank=True)),
            ],
        ),
        migrations.CreateModel(
            name="SiteGroup",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, unique=True)),
            ],
        ),
        migrations.AddField(
            "site",
            "group",
            models.ForeignKey(
                blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to="dcim.sitegroup"
            ),
        ),
    ]
