from django.contrib.contenttypes.models import ContentType
from django.db import models


class ObjectChange(models.Model):
    """One change of one object, kept for the audit."""

    time = models.DateTimeField(auto_now_add=True, db_index=True)
    action = models.CharField(max_length=50)
    changed_object_type = models.ForeignKey(ContentType, on_delete=models.PROTECT, related_name="+")
    changed_object_id = models.PositiveBigIntegerField()
    object_repr = models.CharField(max_length=200)


#@ from 3.5
class ManagedFile(models.Model):
    """One script or report found in its folder."""

    file_root = models.CharField(max_length=1000)
    file_path = models.CharField(max_length=100)


#@ end
