{{/*
What bots may name, as CEL lists: what the values list, and what the installation itself names. The operator's allowlist.py
adds the same; tests try both with the same cases.
*/}}

{{- define "botfleet.allowedImages" -}}
{{- $defaults := .Values.bots.defaults.workload | default dict -}}
{{- $own := list .Values.bots.image.repository -}}
{{- with $defaults.image }}{{ $own = append $own . }}{{ end -}}
{{- concat $own .Values.bots.allowedImages | uniq | toJson -}}
{{- end -}}

{{/* A host in lower case, without the scheme's own port, and no slash at the end. Call with the endpoint. */}}
{{- define "botfleet.endpoint" -}}
{{- if eq . "*" -}}
*
{{- else -}}
{{- $url := ternary . (printf "https://%s" .) (contains "://" .) -}}
{{- $server := regexFind "^[a-z]+://[^/]*" $url -}}
{{- $path := trimPrefix $server $url -}}
{{- $port := ternary ":443" ":80" (hasPrefix "https:" $server) -}}
{{- printf "%s%s" ($server | lower | trimSuffix $port) $path | trimAll "/" -}}
{{- end -}}
{{- end -}}

{{- define "botfleet.allowedModelEndpoints" -}}
{{- $model := .Values.bots.defaults.model | default dict -}}
{{- $parts := concat (list $model) ($model.fallbacks | default list) (list ($model.transcription | default dict)) -}}
{{- $named := list -}}
{{- range $parts }}{{ with .baseUrl }}{{ $named = append $named . }}{{ end }}{{ end -}}
{{- $named = concat $named .Values.bots.allowedModelEndpoints -}}
{{- if empty $named }}{{ $named = list "https://api.openai.com/v1" }}{{ end -}}
{{- $plain := list -}}
{{- range $named }}{{ $plain = append $plain (include "botfleet.endpoint" .) }}{{ end -}}
{{- $plain | uniq | toJson -}}
{{- end -}}
