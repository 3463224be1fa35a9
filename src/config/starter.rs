//! A first config file for `billhook init`. Pure: the secrets come in as arguments.

/// A config file that runs in the sandbox as it is, and that says in normal operation exactly
/// what is left to fill in.
pub fn starter(token: &str, encryption_key: &str, source_secret: &str) -> String {
    STARTER
        .replace("@TOKEN@", token)
        .replace("@ENCRYPTION_KEY@", encryption_key)
        .replace("@SOURCE_SECRET@", source_secret)
}

const STARTER: &str = r#"# Billhook's settings. What is not here has its default; `billhook check` verifies everything.
# It holds secrets: keep it readable for Billhook's user only.

[admin]
# Signs you in to the API.
token = "@TOKEN@"
# Encrypts secrets in the store. Keep a copy of it apart from your backups.
encryption_key = "@ENCRYPTION_KEY@"

[hivelocity]
# The API key and the e-mail address of your primary account.
api_key = "TODO"
owner_email = "TODO"
# multi: one controlled client per customer, once Hivelocity has enabled it for your account.
# single: all devices in your own account.
account_model = "multi"

[one_h]
# From 1H's users area: My Services, Manage API, [Enable API].
auth_code = "TODO"
api_key = "TODO"

# Your WHMCS sends to /webhooks/whmcs. Give it the same secret: the server record's Access Hash.
[sources.whmcs]
platform = "whmcs"
secrets = ["@SOURCE_SECRET@"]

# Outcomes (IP, hostname) go back to WHMCS with an API credential of its own.
#[sources.whmcs.report]
#kind = "whmcs_api"
#url = "https://billing.example/includes/api.php"
#identifier = "TODO"
#secret = "TODO"

# What a product gets: a server, and a Hive licence on its IP. This one is sold to nobody until a product in WHMCS
# names it (Module Settings, Catalogue product id), or until its id here is that of a WHMCS product.
[[products]]
source = "whmcs"
id = "example"

[products.hivelocity]
product_id = 584
location = "{{ options['Location'] or 'TPA1' }}"
os = "{{ options['Operating System'] or 'Ubuntu 22.04' }}"
hostname = "{{ service.hostname }}"
# The same for every order; "billing_cycle" follows what the customer pays.
period = "monthly"
on_suspend = "shutdown"
on_terminate = "cancel"

[products.one_h]
licenses = ["Hive"]
ip = "{{ device.ip or options['License IP'] }}"
label = "{{ service.hostname }}"
on_suspend = "suspend_user"
"#;
