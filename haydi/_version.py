"""The one place that tells the version; the package, its metadata and the wire handshake read it here."""

__version__ = "2.0.0.dev0"
