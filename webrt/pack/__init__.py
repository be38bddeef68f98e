"""The pack: a folder of static files that any web server can serve."""
