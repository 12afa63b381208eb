from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path, re_path
from django.views.static import serve

from netpoint import views

patterns = [
    path("", views.home, name="home"),
    path("login/", LoginView.as_view(template_name="login.html", extra_context={"version": settings.VERSION}), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("api/status/", views.status, name="api-status"),
    path("api/dcim/sites/", views.sites, name="api-sites"),
    re_path(r"^media/(?P<path>.*)$", serve, {"document_root": settings.MEDIA_ROOT}),
]

urlpatterns = [path(settings.BASE_PATH, include(patterns))]
