import json
import platform

from dcim.models import Device, Site
from django import __version__ as django_version
from django.conf import settings
from django.http import JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from redis import Redis
from rq.worker import Worker


def home(request):
    counts = {"sites": Site.objects.count(), "devices": Device.objects.count()}
    return render(request, "home.html", {"version": settings.VERSION, **counts})


def status(request):
    if settings.LOGIN_REQUIRED and not request.user.is_authenticated:
        return JsonResponse({"detail": "Authentication credentials were not provided."}, status=403)
    with Redis.from_url(settings.TASKS_REDIS_URL) as redis:
        workers = Worker.count(redis)
    return JsonResponse(
        {
            "django-version": django_version,
            "installed-apps": {},
            "netpoint-version": settings.VERSION,
            "plugins": {},
            "python-version": platform.python_version(),
            "rq-workers-running": workers,
        }
    )


@csrf_exempt
def sites(request):
    """List the sites, or add one; adding takes a login."""
    if request.method == "POST":
        if not request.user.is_authenticated:
            return JsonResponse({"detail": "Authentication credentials were not provided."}, status=403)
        wanted = json.loads(request.body)
        site = Site.objects.create(name=wanted["name"], slug=wanted["slug"])
        return JsonResponse({"id": site.pk, "name": site.name}, status=201)
    if settings.LOGIN_REQUIRED and not request.user.is_authenticated:
        return JsonResponse({"detail": "Authentication credentials were not provided."}, status=403)
    found = list(Site.objects.order_by("pk").values("id", "name", "slug"))
    return JsonResponse({"count": len(found), "results": found})
