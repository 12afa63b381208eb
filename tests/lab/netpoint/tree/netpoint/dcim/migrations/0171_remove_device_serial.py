from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("dcim", "0170_slow_recount")]
    operations = [migrations.RemoveField("device", "serial")]
