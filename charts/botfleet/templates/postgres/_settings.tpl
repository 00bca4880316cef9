{{/*
How the bundled PostgreSQL is started. What a row holds never reaches its log: a statement, a parameter and the details
of an error are not written, whoever sends them.
*/}}
{{- define "botfleet.postgres.arguments" -}}
{{- $fixed := dict
  "log_error_verbosity" "terse"
  "log_min_error_statement" "panic"
  "log_statement" "none"
  "log_duration" "off"
  "log_min_duration_statement" "-1"
  "log_min_duration_sample" "-1"
  "log_transaction_sample_rate" "0"
  "log_parameter_max_length" "0"
  "log_parameter_max_length_on_error" "0"
  "debug_print_parse" "off"
  "debug_print_rewritten" "off"
  "debug_print_plan" "off"
  "password_encryption" "scram-sha-256"
  "listen_addresses" "*"
-}}
{{- /* Three for each bot's runner, the rest for operators, migrations, backups and the administrator. Not by the number
       of operators: a change of it would restart the database. */ -}}
{{- $connections := add (mul 3 (int .Values.bots.maximum)) 50 -}}
{{- $defaults := dict
  "max_connections" ($connections | toString)
  "tcp_keepalives_idle" "10"
  "tcp_keepalives_interval" "5"
  "tcp_keepalives_count" "2"
  "tcp_user_timeout" "20000"
-}}
{{- range $key, $value := .Values.postgres.bundled.settings -}}
{{- if hasKey $fixed $key -}}
{{- fail (printf "postgres.bundled.settings.%s cannot be changed: it keeps message texts and passwords out of the log, or the server in reach" $key) -}}
{{- end -}}
{{- end -}}
- postgres
{{- range $key, $value := merge $fixed .Values.postgres.bundled.settings $defaults }}
- -c
- {{ printf "%s=%v" $key $value | quote }}
{{- end }}
{{- end -}}

{{/* A claim of a StatefulSet, with all that the API server would add. Call with (list $ component persistence). */}}
{{- define "botfleet.claim" -}}
{{- $persistence := index . 2 -}}
- apiVersion: v1
  kind: PersistentVolumeClaim
  metadata:
    name: data
    labels: {{- include "botfleet.selector" (list (index . 0) (index . 1)) | nindent 6 }}
  spec:
    accessModes: [ReadWriteOnce]
    volumeMode: Filesystem
    {{- with $persistence.storageClassName }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests: {storage: {{ $persistence.size }}}
{{- end -}}
