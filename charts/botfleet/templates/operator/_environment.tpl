{{/* The operator's settings; its settings module documents them. */}}
{{- define "botfleet.operator.environment" -}}
- name: BOTFLEET_OWN_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: BOTFLEET_POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
- name: BOTFLEET_NAMESPACES
  value: {{ join "," .Values.operator.watchNamespaces | quote }}
- name: BOTFLEET_LEASE_NAME
  value: {{ include "botfleet.name" . }}-operator
- name: BOTFLEET_LEADER_LEASE_SECONDS
  value: {{ .Values.operator.leaderLeaseSeconds | quote }}
- name: BOTFLEET_WORKERS
  value: {{ .Values.operator.workers | quote }}
- name: BOTFLEET_HTTP_ADDRESS
  value: 0.0.0.0:8081
- name: BOTFLEET_LOG_FORMAT
  value: json
- name: BOTFLEET_LOG_LEVEL
  value: {{ .Values.operator.logLevel }}
- name: BOTFLEET_DATABASE_URL
  value: {{ include "botfleet.postgres.operatorUrl" . | quote }}
- name: BOTFLEET_DATABASE_PASSWORD_FILE
  value: /run/botfleet/postgres/operator-password
- name: BOTFLEET_RUNNER_DATABASE_URL
  value: {{ include "botfleet.postgres.runnerUrl" . | quote }}
- name: BOTFLEET_REDIS_URL
  value: {{ include "botfleet.redis.url" . | quote }}
- name: BOTFLEET_REDIS_PASSWORD_FILE
  value: /run/botfleet/redis/operator-password
- name: BOTFLEET_INSTALLATION_KEY_FILE
  value: /run/botfleet/installation/installation-key
- name: BOTFLEET_RUNNER_IMAGE
  value: {{ include "botfleet.image" (list . .Values.bots.image) | quote }}
- name: BOTFLEET_RUNNER_IMAGE_PULL_POLICY
  value: {{ .Values.bots.image.pullPolicy }}
- name: BOTFLEET_RUNNER_IMAGE_PULL_SECRETS
  value: {{ join "," .Values.bots.imagePullSecrets | quote }}
- name: BOTFLEET_RUNNER_LEASE_TERM_SECONDS
  value: {{ .Values.bots.leaseTermSeconds | quote }}
- name: BOTFLEET_RUNNER_LOG_LEVEL
  value: {{ .Values.bots.logLevel }}
- name: BOTFLEET_ROLLOUT_WAVE_SIZE
  value: {{ .Values.bots.rollout.waveSize | quote }}
- name: BOTFLEET_ROLLOUT_PAUSE_SECONDS
  value: {{ .Values.bots.rollout.pauseSeconds | quote }}
- name: BOTFLEET_ROLLOUT_TIMEOUT_SECONDS
  value: {{ .Values.bots.rollout.timeoutSeconds | quote }}
- name: BOTFLEET_BOT_DEFAULTS
  value: {{ toJson .Values.bots.defaults | quote }}
- name: BOTFLEET_ALLOWED_IMAGES
  value: {{ join "," .Values.bots.allowedImages | quote }}
- name: BOTFLEET_ALLOWED_MODEL_ENDPOINTS
  value: {{ join "," .Values.bots.allowedModelEndpoints | quote }}
- name: BOTFLEET_ALLOWED_NODE_SELECTORS
  value: {{ join "," .Values.bots.allowedNodeSelectors | quote }}
- name: BOTFLEET_ALLOWED_TOLERATIONS
  value: {{ join "," .Values.bots.allowedTolerations | quote }}
- name: BOTFLEET_ALLOWED_AFFINITIES
  value: {{ join "," .Values.bots.allowedAffinities | quote }}
- name: BOTFLEET_ALLOWED_PRIORITY_CLASSES
  value: {{ join "," .Values.bots.allowedPriorityClasses | quote }}
- name: BOTFLEET_ALLOWED_RUNTIME_CLASSES
  value: {{ join "," .Values.bots.allowedRuntimeClasses | quote }}
{{- $policies := .Values.networkPolicies.bots }}
{{- if and .Values.networkPolicies.enabled $policies.enabled }}
- name: BOTFLEET_NETWORK_POLICIES
  value: "true"
- name: BOTFLEET_NETWORK_SERVERS
  value: {{ toJson (list (include "botfleet.postgres.egress" . | fromYaml) (include "botfleet.redis.egress" . | fromYaml)) | quote }}
- name: BOTFLEET_NETWORK_ALLOWED_EGRESS
  value: {{ toJson $policies.allowedEgress | quote }}
- name: BOTFLEET_NETWORK_DENIED_ADDRESSES
  value: {{ join "," $policies.deniedAddresses | quote }}
- name: BOTFLEET_NETWORK_METRICS_FROM
  value: {{ toJson $policies.metricsFrom | quote }}
{{- end }}
{{- end -}}
