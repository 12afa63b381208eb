# Copy this file to configuration.py and fill in the four required parameters.

ALLOWED_HOSTS = []

DATABASE = {
    "NAME": "netpoint",
    "USER": "",
    "PASSWORD": "",
    "HOST": "localhost",
    "PORT": "",
    "CONN_MAX_AGE": 300,
}

REDIS = {
    "tasks": {"HOST": "localhost", "PORT": 6379, "PASSWORD": "", "DATABASE": 0, "SSL": False},
    "caching": {"HOST": "localhost", "PORT": 6379, "PASSWORD": "", "DATABASE": 1, "SSL": False},
}

SECRET_KEY = ""

BASE_PATH = ""
LOGIN_REQUIRED = False
PLUGINS = []
# MEDIA_ROOT = '/opt/netpoint/netpoint/media'
# REPORTS_ROOT = '/opt/netpoint/netpoint/reports'
# SCRIPTS_ROOT = '/opt/netpoint/netpoint/scripts'
