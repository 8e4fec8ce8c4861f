# What a machine with the role vault may do, besides what every machine may.

# The certificate of Vault's own listener.
[[ certificates ]]

[[ tokens ]]
