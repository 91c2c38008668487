"""Engagement tracking by kind of mail, in Python."""

import json

from msys_track.policy import Rejection, Transaction

BRANDS = {"shop.example": "click.shop.example"}


def validate_rcptto(transaction: Transaction) -> Rejection | None:
    recipient = transaction.recipient or ""
    if recipient.endswith("@blocked.example"):
        return Rejection(code=550, text="5.7.1 This domain wants no mail")
    return None


def validate_data_spool_each_rcpt(transaction: Transaction) -> None:
    variables = transaction.contexts.message
    if "password-reset" in transaction.headers.get("X-Class"):
        variables.set("smtpapi_click_tracking", "0")
        variables.set("smtpapi_open_tracking", "0")
        return
    domain = (transaction.sender or "").rpartition("@")[2]
    if tracking_domain := BRANDS.get(domain):
        variables.set("smtpapi_tracking_domain", tracking_domain)
    variables.set("smtpapi_metadata", json.dumps({"domain": domain}))
