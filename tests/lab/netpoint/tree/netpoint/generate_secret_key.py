#!/usr/bin/env python3
import secrets
import string

if __name__ == "__main__":
    print("".join(secrets.choice(string.ascii_letters + string.digits + "!@#$%^&*(-_=+)") for _ in range(50)))
