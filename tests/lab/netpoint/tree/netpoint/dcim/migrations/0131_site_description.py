from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dcim", "0130_sitegroup")]
    operations = [
        migrations.AddField("site", "description", models.CharField(max_length=200, blank=True, default="")),
    ]
