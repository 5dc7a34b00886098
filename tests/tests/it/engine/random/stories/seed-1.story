# assertion `left == right` failed: the last stable offset
#   left: 1
#  right: 0
"Begin"
{"Publish":{"within":232,"dedup":26,"event":{"key":null,"delay":null,"b":true,"eu":true}}}
