{{/*
The names and labels that every template shares, and the checks that one value alone cannot fail.
*/}}

{{- define "botfleet.name" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$" .Release.Name) -}}
{{- fail (printf "the release name %q must begin with a letter, have no dots and at most 40 characters: the names of Services and Pods begin with it" .Release.Name) -}}
{{- end -}}
{{- .Release.Name -}}
{{- end -}}

{{/* Name of an object that exists once a cluster; the colons keep two releases apart. */}}
{{- define "botfleet.clusterName" -}}
botfleet:{{ .Release.Namespace }}:{{ include "botfleet.name" . }}
{{- end -}}

{{/* Call with (list $ "component"). */}}
{{- define "botfleet.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: botfleet
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of an object. Call with (list $ "component"). */}}
{{- define "botfleet.labels" -}}
{{- $root := index . 0 -}}
{{- $own := include "botfleet.selector" . | fromYaml -}}
{{- $more := dict
  "app.kubernetes.io/part-of" "botfleet"
  "app.kubernetes.io/managed-by" $root.Release.Service
  "app.kubernetes.io/version" ($root.Chart.AppVersion | replace "+" "_" | trunc 63)
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
-}}
{{- toYaml (merge $own $more $root.Values.commonLabels) -}}
{{- end -}}

{{/* Labels of a pod: without those that change with the chart, which would restart it. Call with (list $ "component" podLabels). */}}
{{- define "botfleet.podLabels" -}}
{{- $root := index . 0 -}}
{{- $own := include "botfleet.selector" (list $root (index . 1)) | fromYaml -}}
{{- toYaml (merge $own (dict "app.kubernetes.io/part-of" "botfleet") (index . 2) $root.Values.commonLabels) -}}
{{- end -}}

{{/* Call with (list $ image). */}}
{{- define "botfleet.image" -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default (index . 0).Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* What all pods have in common. Call with (list $ part userId serviceAccountName). */}}
{{- define "botfleet.pod" -}}
{{- $root := index . 0 -}}
{{- $part := index . 1 -}}
{{- $user := index . 2 | int -}}
{{- $account := index . 3 -}}
{{- if $account }}
serviceAccountName: {{ $account }}
{{- end }}
automountServiceAccountToken: {{ not (empty $account) }}
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $user }}
  runAsGroup: {{ $user }}
  fsGroup: {{ $user }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "botfleet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* User of the operator's image. */}}
{{- define "botfleet.operatorUserId" -}}65532{{- end -}}

{{/* A Job's name ends in a hash of its pod template: a Job cannot be changed, only replaced. Call with (list $ "role" template). */}}
{{- define "botfleet.jobName" -}}
{{ include "botfleet.name" (index . 0) }}-{{ index . 1 }}-{{ index . 2 | sha256sum | trunc 8 }}
{{- end -}}
