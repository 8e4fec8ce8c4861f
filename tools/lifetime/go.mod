module hashistack/tools/lifetime

go 1.26
