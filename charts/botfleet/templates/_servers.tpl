{{/*
Where PostgreSQL and Redis are, bundled or external: addresses, Secrets, files. Passwords are files, never in an address.
*/}}

{{- define "botfleet.postgres.address" -}}
{{- if .Values.postgres.bundled.enabled -}}
{{ include "botfleet.name" . }}-postgres.{{ .Release.Namespace }}.svc:5432/botfleet
{{- else -}}
{{- $external := .Values.postgres.external -}}
{{ required "postgres.external.host: give the host of your PostgreSQL, or set postgres.bundled.enabled" $external.host }}:{{ $external.port }}/{{ $external.database }}
{{- end -}}
{{- end -}}

{{- define "botfleet.postgres.query" -}}
{{- if not .Values.postgres.bundled.enabled -}}
{{- $external := .Values.postgres.external -}}
?sslmode={{ $external.sslMode }}
{{- if $external.caSecretName -}}
&sslrootcert=/run/botfleet/postgres-ca/ca.crt
{{- else if hasPrefix "verify" $external.sslMode -}}
{{- fail "postgres.external.caSecretName: sslMode verify-ca and verify-full need the certificate of the authority" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "botfleet.postgres.ownerRole" -}}
{{ ternary "botfleet_owner" .Values.postgres.external.ownerRole .Values.postgres.bundled.enabled }}
{{- end -}}

{{- define "botfleet.postgres.operatorRole" -}}
{{ ternary "botfleet_operator" .Values.postgres.external.operatorRole .Values.postgres.bundled.enabled }}
{{- end -}}

{{- define "botfleet.postgres.operatorUrl" -}}
postgresql://{{ include "botfleet.postgres.operatorRole" . }}@{{ include "botfleet.postgres.address" . }}{{ include "botfleet.postgres.query" . }}
{{- end -}}

{{/* As bots reach it: they do not have the file with the certificate of the authority. */}}
{{- define "botfleet.postgres.runnerUrl" -}}
postgresql://{{ include "botfleet.postgres.address" . }}
{{- if not .Values.postgres.bundled.enabled -}}
?sslmode={{ regexReplaceAll "^verify.*" .Values.postgres.external.sslMode "require" }}
{{- end -}}
{{- end -}}

{{- define "botfleet.postgres.ownerUrl" -}}
postgresql://{{ include "botfleet.postgres.ownerRole" . }}@{{ include "botfleet.postgres.address" . }}{{ include "botfleet.postgres.query" . }}
{{- end -}}

{{- define "botfleet.postgres.secretName" -}}
{{- if .Values.postgres.bundled.enabled -}}
{{ include "botfleet.name" . }}-postgres
{{- else -}}
{{ required "postgres.external.secretName: name the Secret with the passwords of the owner's and the operator's role" .Values.postgres.external.secretName }}
{{- end -}}
{{- end -}}

{{/* The passwords as files owner-password and operator-password. Call with (list $ ["owner" "operator"]). */}}
{{- define "botfleet.postgres.volume" -}}
{{- $root := index . 0 -}}
{{- $external := $root.Values.postgres.external -}}
{{- $keys := dict "owner" (ternary "owner-password" $external.ownerPasswordKey $root.Values.postgres.bundled.enabled)
                  "operator" (ternary "operator-password" $external.operatorPasswordKey $root.Values.postgres.bundled.enabled) -}}
- name: postgres-passwords
  secret:
    secretName: {{ include "botfleet.postgres.secretName" $root }}
    defaultMode: 0440
    items:
      {{- range index . 1 }}
      - {key: {{ get $keys . }}, path: {{ . }}-password}
      {{- end }}
{{- if and (not $root.Values.postgres.bundled.enabled) $external.caSecretName }}
- name: postgres-ca
  secret:
    secretName: {{ $external.caSecretName }}
    defaultMode: 0440
    items:
      - {key: {{ $external.caKey }}, path: ca.crt}
{{- end }}
{{- end -}}

{{- define "botfleet.postgres.mounts" -}}
- {name: postgres-passwords, mountPath: /run/botfleet/postgres, readOnly: true}
{{- if and (not .Values.postgres.bundled.enabled) .Values.postgres.external.caSecretName }}
- {name: postgres-ca, mountPath: /run/botfleet/postgres-ca, readOnly: true}
{{- end }}
{{- end -}}

{{/* The user of the bundled Redis that makes the bots' users; bootstrap writes it into users.acl. */}}
{{- define "botfleet.redis.user" -}}
{{ ternary "botfleet-operator" .Values.redis.external.user .Values.redis.bundled.enabled }}
{{- end -}}

{{- define "botfleet.redis.url" -}}
{{- if .Values.redis.bundled.enabled -}}
redis://{{ include "botfleet.redis.user" . }}@{{ include "botfleet.name" . }}-redis.{{ .Release.Namespace }}.svc:6379/0
{{- else -}}
{{- $external := .Values.redis.external -}}
{{ ternary "rediss" "redis" $external.tls }}://{{ include "botfleet.redis.user" . }}@{{ required "redis.external.host: give the host of your Redis, or set redis.bundled.enabled" $external.host }}:{{ $external.port }}/0
{{- end -}}
{{- end -}}

{{/* The way from a bot to a server, as an egress rule of a NetworkPolicy. Call with (list $ "component" port external). */}}
{{- define "botfleet.egress" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $external := index . 3 -}}
to:
{{- if (index $root.Values $component).bundled.enabled }}
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ $root.Release.Namespace }}}}
    podSelector:
      matchLabels: {{- include "botfleet.selector" (list $root $component) | nindent 8 }}
{{- else if $external.peers }}
  {{- toYaml $external.peers | nindent 2 }}
{{- else }}
{{- fail (printf "%s.external.peers: say where the server is, as peers of a NetworkPolicy ([{ipBlock: {cidr: 203.0.113.7/32}}]): the bots' network policies let them go there; or set networkPolicies.bots.enabled to false" $component) -}}
{{- end }}
ports:
  - {protocol: TCP, port: {{ ternary (index . 2) $external.port (index $root.Values $component).bundled.enabled }}}
{{- end -}}

{{- define "botfleet.postgres.egress" -}}
{{ include "botfleet.egress" (list . "postgres" 5432 .Values.postgres.external) }}
{{- end -}}

{{- define "botfleet.redis.egress" -}}
{{ include "botfleet.egress" (list . "redis" 6379 .Values.redis.external) }}
{{- end -}}

{{- define "botfleet.redis.secretName" -}}
{{- if .Values.redis.bundled.enabled -}}
{{ include "botfleet.name" . }}-redis
{{- else -}}
{{ required "redis.external.secretName: name the Secret with the password of the operator's Redis user" .Values.redis.external.secretName }}
{{- end -}}
{{- end -}}

{{- define "botfleet.redis.volume" -}}
- name: redis-password
  secret:
    secretName: {{ include "botfleet.redis.secretName" . }}
    defaultMode: 0440
    items:
      - {key: {{ ternary "operator-password" .Values.redis.external.passwordKey .Values.redis.bundled.enabled }}, path: operator-password}
{{- end -}}

{{- define "botfleet.redis.mounts" -}}
- {name: redis-password, mountPath: /run/botfleet/redis, readOnly: true}
{{- end -}}
