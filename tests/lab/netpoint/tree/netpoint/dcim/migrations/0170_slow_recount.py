from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("dcim", "0169_move_serials")]
    operations = [migrations.RunSQL("SELECT pg_sleep(3)")]
