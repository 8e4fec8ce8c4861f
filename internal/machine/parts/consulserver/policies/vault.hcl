# What a machine with the role consul-server may do, besides what every machine may.

[[ certificates ]]
