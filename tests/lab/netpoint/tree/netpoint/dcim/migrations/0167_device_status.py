from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dcim", "0131_site_description")]
    operations = [
        migrations.AddField("device", "status", models.CharField(max_length=50, default="active")),
    ]
