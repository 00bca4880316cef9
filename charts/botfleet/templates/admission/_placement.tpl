{{/*
Where bots may run, as CEL: what the values list, and what bots.defaults names, which pins every bot. The operator's
placement.py adds the same; tests try both with the same cases.
*/}}

{{/* A map of lists, by the value that is to be extended. */}}
{{- define "botfleet.allowedPlacement" -}}
{{- $defaults := .Values.bots.defaults.workload | default dict -}}
{{- $labels := list -}}
{{- range $key, $value := $defaults.nodeSelector }}{{ $labels = append $labels (printf "%s=%s" $key $value) }}{{ end -}}
{{- $taints := list -}}
{{- range $defaults.tolerations -}}
{{- $value := ternary "" (printf "=%s" (.value | default "")) (eq (.operator | default "") "Exists") -}}
{{- $taints = append $taints (ternary (printf "%s%s" .key $value) "*" (not (empty .key))) -}}
{{- end -}}
{{- $priorities := compact (list ($defaults.priorityClassName | default "")) -}}
{{- $runtimes := compact (list ($defaults.runtimeClassName | default "")) -}}
{{- with .Values.bots -}}
{{- dict
  "bots.allowedNodeSelectors" (concat $labels .allowedNodeSelectors | uniq)
  "bots.allowedTolerations" (concat $taints .allowedTolerations | uniq)
  "bots.allowedAffinities" .allowedAffinities
  "bots.allowedPriorityClasses" (concat $priorities .allowedPriorityClasses | uniq)
  "bots.allowedRuntimeClasses" (concat $runtimes .allowedRuntimeClasses | uniq)
| toJson -}}
{{- end -}}
{{- end -}}

{{- define "botfleet.pinnedLabels" -}}
{{- $defaults := .Values.bots.defaults.workload | default dict -}}
{{- $defaults.nodeSelector | default dict | toJson -}}
{{- end -}}

{{- define "botfleet.pinnedAffinity" -}}
{{- $defaults := .Values.bots.defaults.workload | default dict -}}
{{- include "botfleet.cel" ($defaults.affinity | default dict) -}}
{{- end -}}

{{/* A literal of CEL, whose maps and lists have values of one type: any. Call with the value. */}}
{{- define "botfleet.cel" -}}
{{- $parts := list -}}
{{- if kindIs "map" . -}}
{{- range $key, $value := . }}{{ $parts = append $parts (printf "%s: dyn(%s)" (toJson $key) (include "botfleet.cel" $value)) }}{{ end -}}
{{- printf "{%s}" (join ", " $parts) -}}
{{- else if kindIs "slice" . -}}
{{- range . }}{{ $parts = append $parts (printf "dyn(%s)" (include "botfleet.cel" .)) }}{{ end -}}
{{- printf "[%s]" (join ", " $parts) -}}
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end -}}
