package sandboxclient

import "github.com/langsandbox/sandbox-go/gen"

// Types of the API, generated from its description.
type (
	// Volume is persistent storage that templates mount.
	Volume = gen.Volume
	// CreateVolume asks for a volume.
	CreateVolume = gen.CreateVolume
	// VolumeUpdate changes a volume; zero fields stay as they are.
	VolumeUpdate = gen.VolumeUpdate
	// ListVolumesParams selects volumes.
	ListVolumesParams = gen.ListVolumesParams

	// Template is the blueprint of a sandbox.
	Template = gen.Template
	// CreateTemplate asks for a template.
	CreateTemplate = gen.CreateTemplate
	// TemplateUpdate renames a template.
	TemplateUpdate = gen.TemplateUpdate
	// ListTemplatesParams selects templates.
	ListTemplatesParams = gen.ListTemplatesParams
	// ResourceSpec is the limits of a sandbox, as Kubernetes quantities.
	ResourceSpec = gen.ResourceSpec
	// VolumeAttachment is a sandbox that uses a volume.
	VolumeAttachment = gen.VolumeAttachment
	// AttachVolume is a volume to use in a sandbox.
	AttachVolume = gen.AttachVolume
	// AttachedVolume is a volume that a sandbox uses.
	AttachedVolume = gen.AttachedVolume
	// VolumeMount shows a volume at a path of the sandbox.
	VolumeMount = gen.VolumeMount

	// GlobResult is the files that a search found.
	GlobResult = gen.GlobResult
	// GlobMatch is a file or directory.
	GlobMatch = gen.GlobMatch
	// GrepResult is the lines that a search found.
	GrepResult = gen.GrepResult
	// GrepMatch is a line of a file.
	GrepMatch = gen.GrepMatch

	// Pool holds sandboxes of one template ready.
	Pool = gen.Pool
	// CreatePool asks for a pool.
	CreatePool = gen.CreatePool
	// PoolUpdate changes a pool; zero fields stay as they are.
	PoolUpdate = gen.PoolUpdate
	// ListPoolsParams selects pools.
	ListPoolsParams = gen.ListPoolsParams

	// Snapshot is what sandboxes start from.
	Snapshot = gen.Snapshot
	// CreateSnapshot asks for a snapshot of an image.
	CreateSnapshot = gen.CreateSnapshot
	// CaptureSnapshot asks for a snapshot of a sandbox.
	CaptureSnapshot = gen.CaptureSnapshot
	// ImageConfig is what a snapshot takes from its image.
	ImageConfig = gen.ImageConfig
	// SnapshotStatus is the state of a snapshot; unknown values pass through.
	SnapshotStatus = gen.SnapshotStatus
	// SnapshotSetting is a setting of a sandbox that a snapshot can carry.
	SnapshotSetting = gen.SnapshotSetting
	// SnapshotTags is the tags of a snapshot name.
	SnapshotTags = gen.SnapshotTags
	// SnapshotTag is a tag and the snapshot it points to.
	SnapshotTag = gen.SnapshotTag
	// ListSnapshotsParams selects snapshots.
	ListSnapshotsParams = gen.ListSnapshotsParams

	// Registry is an image registry, without the credentials for it.
	Registry = gen.Registry
	// CreateRegistry asks for a registry.
	CreateRegistry = gen.CreateRegistry
	// RegistryUpdate changes a registry; zero fields stay as they are.
	RegistryUpdate = gen.RegistryUpdate
	// ListRegistriesParams selects registries.
	ListRegistriesParams = gen.ListRegistriesParams
	// RegistryAuthType says how to log in to a registry.
	RegistryAuthType = gen.RegistryAuthType
	// RegistryProvider is the kind of a registry.
	RegistryProvider = gen.RegistryProvider
	// RepositorySearchMode says where repositories can be searched.
	RepositorySearchMode = gen.RepositorySearchMode

	// Info is what the server says of a sandbox.
	Info = gen.Sandbox
	// CreateSandbox asks for a sandbox.
	CreateSandbox = gen.CreateSandbox
	// SandboxUpdate changes a sandbox; zero fields stay as they are.
	SandboxUpdate = gen.SandboxUpdate
	// ListSandboxesParams selects sandboxes.
	ListSandboxesParams = gen.ListSandboxesParams
	// Status is the state of a sandbox; unknown values pass through.
	Status = gen.Status
	// StatusReport is the state of a sandbox and the reason of a failure.
	StatusReport = gen.StatusReport

	// RunConfig is how the commands of a sandbox run.
	RunConfig = gen.RunConfig
	// AccessDelegation lets a sandbox call the LangSmith API as its creator.
	AccessDelegation = gen.AccessDelegation
	// DelegationMode says which of the creator's permissions are delegated.
	DelegationMode = gen.DelegationMode
	// CreatedBy says whose things to list.
	CreatedBy = gen.CreatedBy

	// BatchDeleteResult says which names were deleted and which were not.
	BatchDeleteResult = gen.BatchDeleteResult
	// Skipped is a name that was not deleted, and why.
	Skipped = gen.Skipped

	// ProxyConfig is the rules for what a sandbox sends to the network.
	ProxyConfig = gen.ProxyConfig
	// AccessControl is the hosts that a sandbox may reach.
	AccessControl = gen.AccessControl
	// ProxyRule adds headers to matching requests.
	ProxyRule = gen.ProxyRule
	// ProxyHeader is a header that a rule adds.
	ProxyHeader = gen.ProxyHeader
	// ProxyHeaderType says how a header value is stored and resolved.
	ProxyHeaderType = gen.ProxyHeaderType
	// ProxyCallback is an endpoint that answers with the headers to add.
	ProxyCallback = gen.ProxyCallback

	// Rewrite is where a rule sends requests instead.
	Rewrite = gen.Rewrite
	// RewriteCredentials says what becomes of credentials that go elsewhere.
	RewriteCredentials = gen.RewriteCredentials
	// SecretValue is a credential, stored or by name.
	SecretValue = gen.SecretValue
	// AWSAuth is AWS credentials.
	AWSAuth = gen.AWSAuth
	// GCPAuth is Google Cloud credentials.
	GCPAuth = gen.GCPAuth
	// AzureAuth is Azure credentials.
	AzureAuth = gen.AzureAuth

	// MountConfig is what a sandbox shows of buckets and repositories.
	MountConfig = gen.MountConfig
	// MountAuth is the credentials for mounts, by provider.
	MountAuth = gen.MountAuth
	// Mount is a directory with the content of something elsewhere.
	Mount = gen.Mount
	// MountType is what is mounted.
	MountType = gen.MountType
	// MountCache is the local copies of a bucket's content.
	MountCache = gen.MountCache
	// MountEncryption is how a bucket's content is encrypted.
	MountEncryption = gen.MountEncryption
	// S3Source is a bucket of S3 or the like.
	S3Source = gen.S3Source
	// GCSSource is a bucket of Google Cloud Storage.
	GCSSource = gen.GCSSource
	// GitSource is a Git repository.
	GitSource = gen.GitSource
	// GitRef is a branch or tag.
	GitRef = gen.GitRef
	// GitRefType is the kind of a reference.
	GitRefType = gen.GitRefType
	// ContextHubSource is a repository of the Context Hub.
	ContextHubSource = gen.ContextHubSource
	// AzureBlobSource is a container of Azure Blob Storage.
	AzureBlobSource = gen.AzureBlobSource

	// Usage is the quotas and what is used of them.
	Usage = gen.Usage
	// ListUsageCostsParams selects a period and resources.
	ListUsageCostsParams = gen.ListUsageCostsParams
	// UsageCost is what a resource used.
	UsageCost = gen.UsageCost
	// CostGranularity is what one amount is for.
	CostGranularity = gen.CostGranularity
	// CostResourceType is the kind of a resource that amounts are counted for.
	CostResourceType = gen.CostResourceType

	// ServiceURL is the addresses of a shared service, and the token for it.
	ServiceURL = gen.ServiceURL
	// ServiceAccess says who is let in to a service by logging in.
	ServiceAccess = gen.ServiceAccess
	// ServiceGrant is a port that is shared, and with whom.
	ServiceGrant = gen.ServiceGrant
	// ServiceGrantAccess says whether a service is shared by token or login.
	ServiceGrantAccess = gen.ServiceGrantAccess
	// ListServicesParams selects shared services.
	ListServicesParams = gen.ListServiceURLsParams
	// DownloadURL is a link to a file.
	DownloadURL = gen.DownloadURL
	// CSPSandboxFlag is something that a page that is locked in may do.
	CSPSandboxFlag = gen.CSPSandboxFlag
	// CSPSourceBundle is a network that a page may load from.
	CSPSourceBundle = gen.CSPSourceBundle

	// SortDirection is the order of a list.
	SortDirection = gen.SortDirection
	// SandboxSortBy is the field that sandboxes are sorted by.
	SandboxSortBy = gen.SandboxSortBy
	// SnapshotSortBy is the field that snapshots are sorted by.
	SnapshotSortBy = gen.SnapshotSortBy
	// TemplateSortBy is the field that templates are sorted by.
	TemplateSortBy = gen.TemplateSortBy
)

// States of a sandbox.
const (
	StatusProvisioning = gen.StatusProvisioning
	StatusReady        = gen.StatusReady
	StatusFailed       = gen.StatusFailed
	StatusStopped      = gen.StatusStopped
	StatusDeleting     = gen.StatusDeleting
)

// States of a snapshot.
const (
	SnapshotBuilding = gen.SnapshotBuilding
	SnapshotReady    = gen.SnapshotReady
	SnapshotFailed   = gen.SnapshotFailed
	SnapshotDeleting = gen.SnapshotDeleting
)

// Settings that a snapshot can carry.
const (
	SnapshotAllSettings = gen.SnapshotAllSettings
	SnapshotMounts      = gen.SnapshotMounts
	SnapshotProxyConfig = gen.SnapshotProxyConfig
	SnapshotEnvVars     = gen.SnapshotEnvVars
	SnapshotResources   = gen.SnapshotResources
	SnapshotLifecycle   = gen.SnapshotLifecycle
	SnapshotLabels      = gen.SnapshotLabels
)

// Permissions that a sandbox gets, and whose things to list.
const (
	DelegateInherited = gen.DelegateInherited
	DelegateExplicit  = gen.DelegateExplicit

	CreatedByMe = gen.CreatedByMe
)

// Ways to log in to a registry, kinds of registries, and their search modes.
const (
	RegistryAuthDockerConfig = gen.RegistryAuthDockerConfig
	RegistryAuthAWSRole      = gen.RegistryAuthAWSRole

	RegistryDocker    = gen.RegistryDocker
	RegistryHarbor    = gen.RegistryHarbor
	RegistryGHCR      = gen.RegistryGHCR
	RegistryECR       = gen.RegistryECR
	RegistryGAR       = gen.RegistryGAR
	RegistryDockerHub = gen.RegistryDockerHub

	RepositorySearchGlobal = gen.RepositorySearchGlobal
	RepositorySearchScoped = gen.RepositorySearchScoped
	RepositorySearchNone   = gen.RepositorySearchNone
)

// Orders and fields of lists.
const (
	SortAscending  = gen.SortAscending
	SortDescending = gen.SortDescending

	SandboxSortByName         = gen.SandboxSortByName
	SandboxSortByStatus       = gen.SandboxSortByStatus
	SandboxSortByCreatedAt    = gen.SandboxSortByCreatedAt
	SandboxSortByTemplateName = gen.SandboxSortByTemplateName

	SandboxSortByStoppedAt              = gen.SandboxSortByStoppedAt
	SandboxSortByIdleTTLSeconds         = gen.SandboxSortByIdleTTLSeconds
	SandboxSortByDeleteAfterStopSeconds = gen.SandboxSortByDeleteAfterStopSeconds

	SnapshotSortByName      = gen.SnapshotSortByName
	SnapshotSortByStatus    = gen.SnapshotSortByStatus
	SnapshotSortByCreatedAt = gen.SnapshotSortByCreatedAt

	TemplateSortByName      = gen.TemplateSortByName
	TemplateSortByImage     = gen.TemplateSortByImage
	TemplateSortByCreatedAt = gen.TemplateSortByCreatedAt
)

// What is mounted, references of Git, and what becomes of credentials.
const (
	MountS3         = gen.MountS3
	MountGCS        = gen.MountGCS
	MountGit        = gen.MountGit
	MountContextHub = gen.MountContextHub
	MountAzureBlob  = gen.MountAzureBlob

	GitBranch = gen.GitBranch
	GitTag    = gen.GitTag

	RewriteStrip  = gen.RewriteStrip
	RewriteRedact = gen.RewriteRedact
	RewriteKeep   = gen.RewriteKeep
)

// Who is let in to a service.
const (
	ServiceRestricted = gen.ServiceRestricted
	ServiceWorkspace  = gen.ServiceWorkspace
	ServiceOff        = gen.ServiceOff

	ServiceGrantToken      = gen.ServiceGrantToken
	ServiceGrantRestricted = gen.ServiceGrantRestricted
	ServiceGrantWorkspace  = gen.ServiceGrantWorkspace
)

// What pages behind download links may do and load.
const (
	CSPAllowDownloads                     = gen.CSPAllowDownloads
	CSPAllowForms                         = gen.CSPAllowForms
	CSPAllowModals                        = gen.CSPAllowModals
	CSPAllowOrientationLock               = gen.CSPAllowOrientationLock
	CSPAllowPointerLock                   = gen.CSPAllowPointerLock
	CSPAllowPopups                        = gen.CSPAllowPopups
	CSPAllowPresentation                  = gen.CSPAllowPresentation
	CSPAllowSameOrigin                    = gen.CSPAllowSameOrigin
	CSPAllowScripts                       = gen.CSPAllowScripts
	CSPAllowTopNavigationByUserActivation = gen.CSPAllowTopNavigationByUserActivation

	CSPSourceCDNJS       = gen.CSPSourceCDNJS
	CSPSourceGoogleFonts = gen.CSPSourceGoogleFonts
	CSPSourceJSDelivr    = gen.CSPSourceJSDelivr
	CSPSourceUnpkg       = gen.CSPSourceUnpkg
	CSPSourceNone        = gen.CSPSourceNone
	CSPSourceAny         = gen.CSPSourceAny
)

// What amounts are for.
const (
	CostsByHour     = gen.CostsByHour
	CostsByResource = gen.CostsByResource

	CostOfSandbox  = gen.CostOfSandbox
	CostOfSnapshot = gen.CostOfSnapshot
)

// Ways a proxy header is stored.
const (
	ProxyHeaderPlaintext       = gen.ProxyHeaderPlaintext
	ProxyHeaderOpaque          = gen.ProxyHeaderOpaque
	ProxyHeaderWorkspaceSecret = gen.ProxyHeaderWorkspaceSecret
)
