variable "name" {
  description = "The load balancer's name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,23}$", var.name))
    error_message = "The name is 1 to 24 of a-z, 0-9 and '-', from a letter on."
  }
}

variable "vpc_id" {
  description = "Where the edge hosts are."
  type        = string
}

variable "subnet_ids" {
  description = "One subnet in each availability zone."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "Wanted at least two subnets: one zone may fail."
  }
}

variable "ports" {
  description = "The ports on which clients come in, and the port of the edge hosts that each leads to."
  type        = map(number)
  default     = { "80" = 80, "443" = 443 }

  validation {
    condition     = alltrue([for from, to in var.ports : tonumber(from) >= 1 && tonumber(from) <= 65535 && to >= 1 && to <= 65535])
    error_message = "Ports are 1 to 65535."
  }
}

variable "probe_port" {
  description = "The port of 'probe.address' on the edge hosts, where /readyz is asked."
  type        = number
  default     = 9090

  validation {
    condition     = var.probe_port >= 1 && var.probe_port <= 65535
    error_message = "A port is 1 to 65535."
  }
}

variable "idle_seconds" {
  description = "How long a connection may be silent. Longer than any keep-alive of ours: see deploy/UPGRADING.md."
  type        = number
  default     = 3600

  validation {
    condition     = var.idle_seconds >= 350 && var.idle_seconds <= 6000
    error_message = "Wanted 350 to 6000 seconds: a socket's heartbeat has to come well within it."
  }
}

variable "deregistration_seconds" {
  description = "How long a host that leaves keeps its connections. At least limits.tunnel_drain_seconds of the edge."
  type        = number
  default     = 1860

  validation {
    condition     = var.deregistration_seconds >= 60 && var.deregistration_seconds <= 3600
    error_message = "Wanted 60 to 3600 seconds, the most that AWS knows."
  }
}
