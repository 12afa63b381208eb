from dcim.models import Device, Site
from django.contrib.contenttypes.models import ContentType
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from extras.models import ObjectChange


def record(instance, action):
    ObjectChange.objects.create(
        action=action,
        changed_object_type=ContentType.objects.get_for_model(instance),
        changed_object_id=instance.pk,
        object_repr=str(instance)[:200],
    )


@receiver(post_save, sender=Site)
@receiver(post_save, sender=Device)
def record_save(instance, created, raw=False, **kwargs):
    if not raw:
        record(instance, "create" if created else "update")


@receiver(post_delete, sender=Site)
@receiver(post_delete, sender=Device)
def record_delete(instance, **kwargs):
    record(instance, "delete")
