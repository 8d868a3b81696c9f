"""Sign-in through the company's OpenID Connect provider. Read ``sign_in.py`` first."""
