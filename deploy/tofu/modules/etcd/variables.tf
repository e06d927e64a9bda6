variable "name" {
  description = "What the members are called."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,23}$", var.name))
    error_message = "The name is 1 to 24 of a-z, 0-9 and '-', from a letter on."
  }
}

variable "image_id" {
  description = "An image of Debian 12 or later."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]{8,17}$", var.image_id))
    error_message = "Wanted the id of an image, such as ami-0123456789abcdef0."
  }
}

variable "instance_type" {
  description = "The members' type. etcd wants a disk that answers fast more than it wants cores."
  type        = string
  default     = "c7g.large"
}

variable "vpc_id" {
  description = "Where the members are."
  type        = string
}

variable "subnet_ids" {
  description = "One subnet for each member, in different availability zones: three or five, so that one or two may fail."
  type        = list(string)

  validation {
    condition     = contains([1, 3, 5], length(var.subnet_ids))
    error_message = "Wanted one subnet (no redundancy), three or five: an even number is no safer than one less."
  }
}

variable "client_cidrs" {
  description = "Who may speak to etcd: the networks of the regions that publish from it."
  type        = list(string)

  validation {
    condition     = length(var.client_cidrs) >= 1 && alltrue([for cidr in var.client_cidrs : can(cidrnetmask(cidr))])
    error_message = "Wanted at least one IPv4 network."
  }
}
