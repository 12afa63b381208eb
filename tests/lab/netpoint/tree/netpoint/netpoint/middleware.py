from urllib.parse import quote

from django.conf import settings
from django.http import HttpResponseRedirect

API = f"/{settings.BASE_PATH}api/"


class LoginRequiredMiddleware:
    """Send strangers to the login page; the API answers for itself."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        open_to_all = (settings.LOGIN_URL, API)
        if settings.LOGIN_REQUIRED and not request.user.is_authenticated and not request.path_info.startswith(open_to_all):
            return HttpResponseRedirect(f"{settings.LOGIN_URL}?next={quote(request.get_full_path_info())}")
        return self.get_response(request)


class APIVersionMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if request.path_info.startswith(API) and request.content_type == "application/json":
            response["API-Version"] = ".".join(settings.VERSION.split(".")[:2])
        return response
