"""The files by which phones learn which links an app opens: those below its sublinks.

Apple's "Supporting associated domains", Google's "Digital Asset Links".
"""

import json
from collections.abc import Mapping, Sequence

from msys_track.tracking.settings import TrackerSettings

APPLE_PATH = "/.well-known/apple-app-site-association"
ANDROID_PATH = "/.well-known/assetlinks.json"


def write_app_files(settings: TrackerSettings) -> Mapping[str, bytes]:
    """Write the files of the apps that the settings name, by their paths."""
    files: dict[str, bytes] = {}
    if settings.apple_apps:
        files[APPLE_PATH] = write_apple_file(settings.apple_apps, settings.app_sublinks)
    if settings.android_apps:
        files[ANDROID_PATH] = write_android_file(settings.android_apps)
    return files


def write_apple_file(apps: Sequence[str], sublinks: Sequence[str]) -> bytes:
    """Write which apps, named `TEAM.bundle`, open the links below sublinks.

    Systems before iOS 13 read `appID` and `paths`, later ones `appIDs` and `components`.
    """
    paths = [f"/f/{sublink}/*" for sublink in sublinks]
    details = [
        {
            "appID": app,
            "appIDs": [app],
            "paths": paths,
            "components": [{"/": path} for path in paths],
        }
        for app in apps
    ]
    return _write({"applinks": {"apps": [], "details": details}})


def write_android_file(apps: Sequence[str]) -> bytes:
    """Write which apps open links, each as `PACKAGE=FINGERPRINT,FINGERPRINT`.

    Which paths one opens is the app's own affair.
    """
    return _write(
        [
            {
                "relation": ["delegate_permission/common.handle_all_urls"],
                "target": {
                    "namespace": "android_app",
                    "package_name": package,
                    "sha256_cert_fingerprints": fingerprints.split(","),
                },
            }
            for package, _, fingerprints in (app.partition("=") for app in apps)
        ]
    )


def _write(content: object) -> bytes:
    return json.dumps(content, indent=2).encode("ascii") + b"\n"
