import importlib
import os
import platform
import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

VERSION = '@VERSION@'

HOSTNAME = platform.node()
BASE_DIR = str(Path(__file__).resolve().parent.parent)

config_path = os.environ.get("NETPOINT_CONFIGURATION", "netpoint.configuration")
try:
    configuration = importlib.import_module(config_path)
except ModuleNotFoundError as error:
    if error.name == config_path:
        raise ImproperlyConfigured(f"Specified configuration module ({config_path}) not found.") from error
    raise

for parameter in ("ALLOWED_HOSTS", "DATABASE", "SECRET_KEY", "REDIS"):
    if not hasattr(configuration, parameter):
        raise ImproperlyConfigured(f"Required parameter {parameter} is missing from configuration.")

ALLOWED_HOSTS = configuration.ALLOWED_HOSTS
DATABASE = configuration.DATABASE
REDIS = configuration.REDIS
SECRET_KEY = configuration.SECRET_KEY

BASE_PATH = getattr(configuration, "BASE_PATH", "")
if BASE_PATH:
    BASE_PATH = BASE_PATH.strip("/") + "/"
CSRF_TRUSTED_ORIGINS = getattr(configuration, "CSRF_TRUSTED_ORIGINS", [])
DEBUG = getattr(configuration, "DEBUG", False)
LOGIN_REQUIRED = getattr(configuration, "LOGIN_REQUIRED", False)
MEDIA_ROOT = getattr(configuration, "MEDIA_ROOT", os.path.join(BASE_DIR, "media")).rstrip("/")
REPORTS_ROOT = getattr(configuration, "REPORTS_ROOT", os.path.join(BASE_DIR, "reports")).rstrip("/")
SCRIPTS_ROOT = getattr(configuration, "SCRIPTS_ROOT", os.path.join(BASE_DIR, "scripts")).rstrip("/")
PLUGINS = getattr(configuration, "PLUGINS", [])
CHANGELOG_RETENTION = getattr(configuration, "CHANGELOG_RETENTION", 90)

#@ from 3.5
if type(SECRET_KEY) is not str:
    raise ImproperlyConfigured(f"SECRET_KEY must be a string (found {type(SECRET_KEY).__name__})")
if len(SECRET_KEY) < 50:
    raise ImproperlyConfigured(
        f"SECRET_KEY must be at least 50 characters in length. To generate a suitable key, run the following command:\n"
        f"  python {BASE_DIR}/generate_secret_key.py"
    )

#@ end
if sys.version_info < (3, 8):
    raise RuntimeError(f"NetPoint requires Python 3.8 or later. (Currently installed: Python {platform.python_version()})")

DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", **DATABASE}}


def redis_url(section):
    user = section.get("USERNAME", "")
    password = section.get("PASSWORD", "")
    login = f"{user}:{password}@" if password else ""
    scheme = "rediss" if section.get("SSL") else "redis"
    return f"{scheme}://{login}{section['HOST']}:{section.get('PORT', 6379)}/{section.get('DATABASE', 0)}"


TASKS_REDIS_URL = redis_url(REDIS["tasks"])
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis_url(REDIS["caching"])}}

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "dcim",
    "extras",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "netpoint.middleware.LoginRequiredMiddleware",
    "netpoint.middleware.APIVersionMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [os.path.join(BASE_DIR, "templates")],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ]
        },
    }
]

ROOT_URLCONF = "netpoint.urls"
WSGI_APPLICATION = "netpoint.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "UTC"
USE_TZ = True
USE_X_FORWARDED_HOST = True
LOGIN_URL = f"/{BASE_PATH}login/"
LOGIN_REDIRECT_URL = f"/{BASE_PATH}"
STATIC_ROOT = os.path.join(BASE_DIR, "static")
STATIC_URL = f"/{BASE_PATH}static/"
STATICFILES_DIRS = [os.path.join(BASE_DIR, "project-static", "dist")]
MEDIA_URL = f"/{BASE_PATH}media/"
SILENCED_SYSTEM_CHECKS = ["security.W019"]
