from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dcim", "0003_device_serial")]
    operations = [
        migrations.CreateModel(
            name="Cable",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("label", models.CharField(max_length=100, blank=True, default="")),
                ("length", models.PositiveSmallIntegerField(null=True, blank=True)),
            ],
        ),
    ]
