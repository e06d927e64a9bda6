variable "name" {
  description = "What the hosts are called."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,23}$", var.name))
    error_message = "The name is 1 to 24 of a-z, 0-9 and '-', from a letter on."
  }
}

variable "region" {
  description = "edge.region in the hosts' settings; as in dns.regions of platform.yaml."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "Wanted a region of AWS, such as eu-west-1."
  }
}

variable "image_id" {
  description = "An image with karman-proxy and karman in /usr/bin, deploy/systemd/drain-at-termination in /usr/lib/karman, and the units of deploy/systemd installed."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]{8,17}$", var.image_id))
    error_message = "Wanted the id of an image, such as ami-0123456789abcdef0."
  }
}

variable "instance_type" {
  description = "The hosts' type. The edge is bound by memory for sockets and by cores for TLS."
  type        = string
  default     = "c7g.xlarge"
}

variable "hosts" {
  description = "How many hosts the region has: enough that the rest carry all when one is gone."
  type        = object({ min = number, max = number })
  default     = { min = 3, max = 6 }

  validation {
    condition     = var.hosts.min >= 2 && var.hosts.max > var.hosts.min && var.hosts.max <= 100
    error_message = "Wanted at least two hosts, and room for one more than the least: a host is replaced before it goes."
  }
}

variable "vpc_id" {
  type        = string
  description = "Where the hosts are."
}

variable "subnet_ids" {
  description = "One subnet in each availability zone."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "Wanted at least two subnets."
  }
}

variable "balancer_security_group_id" {
  description = "The load balancer's security group: nobody else may speak to the hosts."
  type        = string
}

variable "balancer_cidr" {
  description = "Where the load balancer's PROXY headers come from."
  type        = string

  validation {
    condition     = can(cidrnetmask(var.balancer_cidr))
    error_message = "Wanted an IPv4 network, such as 10.1.0.0/16."
  }
}

variable "target_group_arns" {
  description = "Where the hosts register."
  type        = list(string)
}

variable "store" {
  description = "What 'karman publish --store' is told: etcd://HOST:PORT[,HOST:PORT][/PREFIX]."
  type        = string

  validation {
    condition     = can(regex("^etcds?://[A-Za-z0-9.,:/-]+$", var.store))
    error_message = "Wanted etcd://HOST:PORT, several of them separated by commas."
  }
}

variable "drain_seconds" {
  description = "How long a host that is being replaced moves its clients before it is stopped. AWS waits two hours at most."
  type        = number
  default     = 1800

  validation {
    condition     = var.drain_seconds >= 60 && var.drain_seconds <= 7200
    error_message = "Wanted 60 to 7200 seconds."
  }
}

variable "dns_zone_arn" {
  description = "The hosted zone whose records 'karman dns' keeps; null where it does not run on these hosts."
  type        = string
  default     = null
}
