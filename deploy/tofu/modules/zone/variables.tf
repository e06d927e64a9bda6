variable "domain" {
  description = "The platform's domain: platform.yaml's 'domain'."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63}$", var.domain))
    error_message = "Wanted a domain in lower case without closing dot, such as apps.example.com."
  }
}

variable "authorities" {
  description = "The CAs that may issue certificates for the domain (RFC 8659)."
  type        = list(string)
  default     = ["letsencrypt.org", "pki.goog"]

  validation {
    condition     = length(var.authorities) >= 1
    error_message = "Wanted at least one CA: without any, none may issue."
  }
}
