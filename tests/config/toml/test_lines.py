from msys_track.config.toml.lines import key_lines

DOCUMENT = """\
# keys = "not a key"
keys = "k#.toml"   # comment

[proxy]
  listen   = "a = b"
"quoted key" = '''
[not.a.table]
x = 1
'''
dotted . name = 1
text = \"\"\"
\\"\"\" = [ \"\"\" # still on the key
[ tracker ] # comment
trusted_proxies = [
  "10.0.0.0/8",   # "a", "b"

  "::1", "192.0.2.1",
]
nested = [[1, 2],
  [3], {a = 1, b = 2}]
inline = { a = 1, b = [1] }
empty = []
[[listen]]
name = 1
[[listen]]
name = 2
[listen.peer]
cidr = 3
[proxy."a.b"]
last = 1"""


def test_every_key_is_found_on_its_line() -> None:
    assert dict(key_lines(DOCUMENT)) == {
        ("keys",): 2,
        ("proxy",): 4,
        ("proxy", "listen"): 5,
        ("proxy", "quoted key"): 6,
        ("proxy", "dotted", "name"): 10,
        ("proxy", "text"): 11,
        ("tracker",): 13,
        ("tracker", "trusted_proxies"): 14,
        ("tracker", "trusted_proxies", 0): 15,
        ("tracker", "trusted_proxies", 1): 17,
        ("tracker", "trusted_proxies", 2): 17,
        ("tracker", "nested"): 19,
        ("tracker", "nested", 0): 19,
        ("tracker", "nested", 1): 20,
        ("tracker", "nested", 2): 20,
        ("tracker", "inline"): 21,
        ("tracker", "empty"): 22,
        ("listen", 0): 23,
        ("listen", 0, "name"): 24,
        ("listen", 1): 25,
        ("listen", 1, "name"): 26,
        ("listen", 1, "peer"): 27,
        ("listen", 1, "peer", "cidr"): 28,
        ("proxy", "a.b"): 29,
        ("proxy", "a.b", "last"): 30,
    }


def test_line_ends_of_either_kind_are_counted_once() -> None:
    assert key_lines("a = 1\r\n\r\n[b]\r\nc = 2\r\n") == {("a",): 1, ("b",): 3, ("b", "c"): 4}


def test_an_empty_text_has_no_keys() -> None:
    assert key_lines("") == {}
    assert key_lines("# only a comment") == {}
