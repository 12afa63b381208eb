from django.db import models


#@ from 2.11
class SiteGroup(models.Model):
    name = models.CharField(max_length=100, unique=True)


#@ end
class Site(models.Model):
    name = models.CharField(max_length=100, unique=True)
    slug = models.SlugField(max_length=100, unique=True)
#@ from 2.11
    group = models.ForeignKey(SiteGroup, on_delete=models.SET_NULL, null=True, blank=True)
#@ end
#@ from 3.0
    description = models.CharField(max_length=200, blank=True, default="")
#@ end

    def __str__(self):
        return self.name


class Device(models.Model):
    name = models.CharField(max_length=64)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="devices")
#@ to 3.4.99
    serial = models.CharField(max_length=50, blank=True, default="")
#@ end
#@ from 3.0
    status = models.CharField(max_length=50, default="active")
#@ end
#@ from 3.5
    label = models.CharField(max_length=200, blank=True, default="", db_index=True)
#@ end

    def __str__(self):
        return self.name


class Cable(models.Model):
    label = models.CharField(max_length=100, blank=True, default="")
    length = models.PositiveSmallIntegerField(null=True, blank=True)
