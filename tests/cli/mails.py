"""A mail with a link, for whichever command takes one."""

HTML = (
    b"Subject: x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    b"<body><a href='http://e.com/?a=1&amp;b=2'>x</a> <a href='mailto:a@b.c'>y</a></body>\r\n"
)
