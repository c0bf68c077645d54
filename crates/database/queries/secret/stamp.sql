SELECT stamp FROM ops.secrets_changed
