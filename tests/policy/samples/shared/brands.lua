-- Sending domain to tracking domain.
return {
  ["shop.example"] = "click.shop.example",
  ["books.example"] = "click.books.example:8443",
}
