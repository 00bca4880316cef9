{{/* Users come from the ACL file alone, in which the user default is off. */}}
{{- define "botfleet.redis.configuration" -}}
port 6379
protected-mode no
tcp-keepalive 60
dir /data
aclfile /run/botfleet/redis/users.acl
maxmemory {{ .Values.redis.bundled.maximumMemory }}
maxmemory-policy noeviction
{{- if .Values.redis.bundled.persistence.enabled }}
appendonly yes
appendfsync everysec
{{- else }}
appendonly no
{{- end }}
save ""
{{ end -}}
