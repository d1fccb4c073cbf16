package contract_test

import "net/http"

// sample is an answer that the contract allows.
type sample struct {
	status int
	body   string // JSON, but for a download
}

// samples are the answers to each operation that the facade reaches: one with
// as little in it as the contract allows, where that can be little, and one
// with all that it names. Both are held to the contract as they are played.
var samples = map[string][]sample{
	"createVolume": {{http.StatusCreated, emptyVolume}, {http.StatusCreated, fullVolume}},
	"getVolume":    {{http.StatusOK, emptyVolume}, {http.StatusOK, fullVolume}},
	"updateVolume": {{http.StatusOK, emptyVolume}, {http.StatusOK, fullVolume}},
	"listVolumes":  {{http.StatusOK, `{"volumes":[]}`}, {http.StatusOK, `{"items":[` + fullVolume + `],"volumes":[` + fullVolume + `],"offset":0,"next_cursor":null}`}},
	"deleteVolume": {{http.StatusNoContent, ""}},

	"createTemplate":       {{http.StatusCreated, `{"name":"a"}`}, {http.StatusCreated, fullTemplate}},
	"getTemplate":          {{http.StatusOK, `{"name":"a"}`}, {http.StatusOK, fullTemplate}},
	"updateTemplate":       {{http.StatusOK, `{"name":"a"}`}, {http.StatusOK, fullTemplate}},
	"listTemplates":        {{http.StatusOK, `{"templates":[]}`}, {http.StatusOK, `{"templates":[` + fullTemplate + `],"offset":0}`}},
	"deleteTemplate":       {{http.StatusNoContent, ""}},
	"batchDeleteTemplates": {{http.StatusOK, emptyBatch}, {http.StatusOK, fullBatch}},

	"createPool": {{http.StatusCreated, emptyPool}, {http.StatusCreated, fullPool}},
	"getPool":    {{http.StatusOK, emptyPool}, {http.StatusOK, fullPool}},
	"updatePool": {{http.StatusOK, emptyPool}, {http.StatusOK, fullPool}},
	"listPools":  {{http.StatusOK, `{"pools":[]}`}, {http.StatusOK, `{"pools":[` + fullPool + `],"offset":0}`}},
	"deletePool": {{http.StatusNoContent, ""}},

	"createSnapshot":  {{http.StatusCreated, emptySnapshot}, {http.StatusCreated, fullSnapshot}},
	"getSnapshot":     {{http.StatusOK, emptySnapshot}, {http.StatusOK, fullSnapshot}},
	"getSnapshotTags": {{http.StatusOK, `{"name":"a","tags":[]}`}, {http.StatusOK, `{"name":"a","tags":[{"tag":"latest","snapshot_id":"i"}]}`}},
	"listSnapshots":   {{http.StatusOK, `{"snapshots":[]}`}, {http.StatusOK, `{"items":[` + fullSnapshot + `],"snapshots":[` + fullSnapshot + `],"offset":0,"next_cursor":null}`}},
	"deleteSnapshot":  {{http.StatusNoContent, ""}},
	"captureSandbox":  {{http.StatusCreated, emptySnapshot}, {http.StatusCreated, fullSnapshot}},

	"createRegistry": {{http.StatusCreated, `{"name":"a"}`}, {http.StatusCreated, fullRegistry}},
	"getRegistry":    {{http.StatusOK, `{"name":"a"}`}, {http.StatusOK, fullRegistry}},
	"updateRegistry": {{http.StatusOK, `{"name":"a"}`}, {http.StatusOK, fullRegistry}},
	"listRegistries": {{http.StatusOK, `{"registries":[]}`}, {http.StatusOK, `{"items":[` + fullRegistry + `],"registries":[` + fullRegistry + `],"offset":0,"next_cursor":null}`}},
	"deleteRegistry": {{http.StatusNoContent, ""}},

	"createSandbox":        {{http.StatusCreated, `{"name":"a"}`}, {http.StatusCreated, fullSandbox}},
	"getSandbox":           {{http.StatusOK, `{"name":"a"}`}, {http.StatusOK, fullSandbox}},
	"updateSandbox":        {{http.StatusOK, `{"name":"a"}`}, {http.StatusOK, fullSandbox}},
	"startSandbox":         {{http.StatusAccepted, `{"name":"a"}`}, {http.StatusAccepted, fullSandbox}},
	"listSandboxes":        {{http.StatusOK, `{"sandboxes":[]}`}, {http.StatusOK, `{"items":[` + fullSandbox + `],"sandboxes":[` + fullSandbox + `],"offset":0,"next_cursor":null}`}},
	"getSandboxStatus":     {{http.StatusOK, `{"status":"ready"}`}, {http.StatusOK, `{"status":"ready","status_message":"as new"}`}},
	"stopSandbox":          {{http.StatusNoContent, ""}},
	"deleteSandbox":        {{http.StatusNoContent, ""}},
	"batchDeleteSandboxes": {{http.StatusOK, emptyBatch}, {http.StatusOK, fullBatch}},

	"getUsage": {{http.StatusOK, fullUsage}},
	"listUsageCosts": {{http.StatusOK, `{"items":[]}`}, {http.StatusOK, `{"items":[{"resource_id":"r","resource_type":"SANDBOX",
		"period_start":"2026-01-02T03:00:00Z","lcu":"0.000001","lsu":"2","compute_standard_units":"3","storage_standard_units":"4",
		"vcpu_hours":"5","memory_gib_hours":"6","storage_gib_hours":"7"}],"next_cursor":null}`}},

	"createServiceURL": {{http.StatusOK, `{"service_url":"https://s.test/"}`}, {http.StatusOK, `{"browser_url":"https://s.test/_svc/auth?token=t",
		"service_url":"https://s.test/","token":"t","expires_at":"2099-01-02T03:04:05Z","embed_url":"https://s.test/_svc/embed#token=t",
		"embed_origins":["https://app.test"],"access":"workspace"}`}},
	"listServiceURLs": {{http.StatusOK, `{"items":[]}`}, {http.StatusOK, `{"items":[{"access":"token","created_at":"2026-01-02T03:04:05Z",
		"created_by":"u","embed_origins":["https://app.test"],"expires_at":"2026-01-02T03:14:05Z","port":80}],"next_cursor":null}`}},
	"deleteServiceURLs": {{http.StatusNoContent, ""}},
	"createDownloadURL": {
		{http.StatusOK, `{"download_url":"https://dl.test/t","token":"t"}`},
		{http.StatusOK, `{"download_url":"https://dl.test/t","token":"t","expires_at":"2099-01-02T03:04:05Z"}`},
	},

	"execute":  {{http.StatusOK, `{"stdout":"","stderr":""}`}, {http.StatusOK, `{"stdout":"out","stderr":"err","exit_code":3}`}},
	"upload":   {{http.StatusOK, `{"path":"/note.txt","written":5}`}},
	"download": {{http.StatusOK, ""}, {http.StatusOK, "hello"}},
	"statFile": {{http.StatusOK, ""}},
	"glob": {{http.StatusOK, `{"matches":[],"truncated":false}`}, {http.StatusOK, `{"matches":[
		{"path":"/a","is_dir":true,"modified_at":"2026-01-02T03:04:05Z"},
		{"path":"/b","is_dir":false,"size_bytes":9007199254740993,"modified_at":"2026-01-02T03:04:05.5Z"}],"truncated":false}`}},
	"grep": {{http.StatusOK, `{"matches":[],"truncated":false}`}, {http.StatusOK, `{"matches":[{"path":"/a","line":1,"text":"TODO"}],"truncated":true}`}},
}

const (
	emptyVolume = `{}`
	fullVolume  = `{"id":"5e2f7f0a-0000-4000-8000-000000000001","name":"a","size":"1Gi","storage_class":"default","size_bytes":1073741824,
		"description":"d","labels":{"l":"v"},"attachments":[{"sandbox_id":"i","sandbox_name":"n","mount_path":"/data","read_only":true}],
		"created_by":"c","updated_by":"u",
		"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:06.5Z"}`

	emptyPool = `{"name":"a","template_name":"t","replicas":0}`
	fullPool  = `{"id":"5e2f7f0a-0000-4000-8000-000000000002","name":"a","template_name":"t","replicas":2,
		"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:06.5Z"}`

	fullRegistry = `{"id":"5e2f7f0a-0000-4000-8000-000000000005","name":"a","url":"ghcr.io","auth_type":"AWS_ROLE","aws_role_arn":"arn",
		"provider":"GHCR","repository_search_mode":"SCOPED","created_at":"2026-01-02T03:04:05Z","created_by":"c",
		"updated_at":"2026-01-02T03:04:06.5Z","updated_by":"u"}`

	emptyBatch = `{"deleted":[],"skipped":[]}`
	fullBatch  = `{"deleted":["a"],"skipped":[{"name":"none","reason":"not found"}]}`

	secretAnswer = `{"type":"opaque","value":"v","is_set":true}`
	authAnswer   = `"aws":{"access_key_id":` + secretAnswer + `,"secret_access_key":` + secretAnswer + `,"role_arn":"arn","session_tags":{"a":"b"},"subject_scope":"s"},
		"gcp":{"service_account_json":` + secretAnswer + `,"scopes":["s"],"workload_identity_provider":"p","service_account_email":"e","subject_scope":"s"},
		"azure":{"tenant_id":"t","client_id":"c","resources":["r"],"subject_scope":"s","storage_account":"a","account_key":` + secretAnswer + `,"sas_token":` + secretAnswer + `}`

	proxyAnswer = `{
		"rules":[{"name":"r","type":"headers","enabled":false,"match_hosts":["h.test"],"match_paths":["/a"],"inject_headers":{"A":"b"},
			"headers":[{"name":"n","type":"plaintext","value":"v"},{"name":"o","type":"opaque","is_set":true}],
			"match_headers":["a: b"],"env_vars":{"A":"b"},"rewrite":{"port":1,"host":"h","sandbox":"s","credentials":"keep"},"relay_id":"r","description":"d",` + authAnswer + `}],
		"callbacks":[{"match_hosts":["h.test"],"url":"https://c.test","ttl_seconds":60,"full_request":true,"request_headers":[{"name":"n","type":"opaque","value":"v","is_set":true}]}],
		"access_control":{"allow_list":["h.test"],"deny_list":["d.test"]},
		"no_proxy":["localhost"],"description":"d"}`

	mountsAnswer = `{"auth":{` + authAnswer + `},"mounts":[{"id":"m","type":"s3","mount_path":"/mnt","read_only":false,
		"cache":{"max_size_bytes":1,"writeback_seconds":2},"encryption":{"kms_key":"k"},
		"s3":{"bucket":"b","region":"r","endpoint_url":"u","prefix":"p","path_style":false},"gcs":{"bucket":"b","prefix":"p"},
		"git":{"remote_url":"u","ref":{"type":"tag","name":"n"},"refresh_interval_seconds":1},
		"contexthub":{"repo":"o/r","initial_pull_only":false},"azure_blob":{"storage_account":"a","container":"c","prefix":"p"}}]}`

	fullTemplate = `{"id":"5e2f7f0a-0000-4000-8000-000000000003","name":"a","image":"python:3.12-slim",
		"resources":{"cpu":"1","memory":"1Gi","storage":"2Gi"},"volume_mounts":[{"volume_name":"v","mount_path":"/data"}],
		"proxy_config":` + proxyAnswer + `,"registry_id":"i","registry_name":"n",
		"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:06.5Z"}`

	fullSandbox = `{"id":"5e2f7f0a-0000-4000-8000-000000000004","name":"a","template_name":"t","snapshot_id":"s",
		"dataplane_url":"https://router.test/sb-1","status":"ready","status_message":"as new","ttl_seconds":600,"idle_ttl_seconds":60,
		"expires_at":"2026-01-02T03:14:05Z","delete_after_stop_seconds":120,"stopped_at":"2026-01-02T03:04:07Z",
		"labels":{"l":"v"},"persistent":false,"preserve_memory_on_stop":true,
		"volumes":[{"volume_id":"i","volume_name":"v","mount_path":"/data","read_only":true}],"size_class":"large","created_by":"c","updated_by":"u",
		"run_config":{"user":"u:g","work_dir":"/w","env_vars":{"A":"b"}},"access_delegation":{"mode":"EXPLICIT","permissions":["p"]},
		"vcpus":2,"cpu_millicores":1500,"mem_bytes":8589934592,"fs_capacity_bytes":17179869184,
		"proxy_config":` + proxyAnswer + `,"mount_config":` + mountsAnswer + `,
		"created_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:06.5Z"}`

	emptySnapshot = `{"id":"5e2f7f0a-0000-4000-8000-000000000006","name":"a","status":"ready"}`
	fullSnapshot  = `{"id":"5e2f7f0a-0000-4000-8000-000000000006","name":"a","status":"ready","status_message":"as new",
		"fs_capacity_bytes":17179869184,"fs_used_bytes":9007199254740993,"docker_image":"img:1","image_digest":"sha256:0","source_sandbox_id":"s",
		"registry_id":"r","memory_snapshot_size_bytes":1,"labels":{"l":"v"},"tags":["latest"],"description":"d",
		"run_config":{"user":"u:g","work_dir":"/w","env_vars":{"A":"b"}},"included":["mounts","proxy_config"],
		"proxy_config":` + proxyAnswer + `,"mount_config":` + mountsAnswer + `,
		"created_at":"2026-01-02T03:04:05Z","created_by":"c","updated_at":"2026-01-02T03:04:06.5Z"}`

	fullUsage = `{"sandboxes_used":1,"sandboxes_limit":2,"sandbox_direct_count":3,"sandbox_pool_replicas_count":4,
		"sandbox_running_count":5,"sandbox_stopped_count":6,"cpu_used_millicores":7,"cpu_limit_millicores":8,
		"memory_used_bytes":9007199254740993,"memory_limit_bytes":10,"storage_used_bytes":11,"storage_limit_bytes":12,
		"volumes_used":13,"volumes_limit":14,"templates_count":15,"pools_count":16,"registries_count":17,"snapshots_count":18}`
)
