"""The HTTP side: one table of routes, served by our own aiohttp server, another aiohttp application or an ASGI host."""
