"""The tracker: answers readers' clicks and opens over HTTP, and makes events of them."""
