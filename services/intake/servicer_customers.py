"""The methods about customers, keys, profiles and the catalogue: request in, use case, answer out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from directorybolt.intake.v1 import customers_pb2 as m

from services.domain.errors import CustomerNotFound, ProfileNotFound
from services.intake import access, names
from services.intake.servicer_rights import RightsMethods

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]


class CustomerMethods(RightsMethods):
    """Takes customers in, their keys and profiles, and the catalogue."""

    async def CreateCustomer(
        self, request: m.CreateCustomerRequest, context: Context
    ) -> m.CreateCustomerResponse:
        """Take a customer on."""
        del context
        return m.CreateCustomerResponse(customer=await self._desk.customers.create(request))

    async def GetCustomer(self, request: m.GetCustomerRequest, context: Context) -> m.GetCustomerResponse:
        """Show a customer."""
        del context
        customer_id = names.read_customer(request.name, "name")
        access.its_own(customer_id, request.name, CustomerNotFound)
        return m.GetCustomerResponse(customer=await self._desk.customers.get(customer_id))

    async def CreateApiKey(self, request: m.CreateApiKeyRequest, context: Context) -> m.CreateApiKeyResponse:
        """Make an API key and show its secret once."""
        del context
        made = await self._desk.api_keys.create(access.parent(request.parent), request)
        return m.CreateApiKeyResponse(api_key=made.api_key, secret=made.secret)

    async def ListApiKeys(self, request: m.ListApiKeysRequest, context: Context) -> m.ListApiKeysResponse:
        """List a customer's API keys."""
        del context
        keys = await self._desk.api_keys.list(access.parent(request.parent))
        return m.ListApiKeysResponse(api_keys=keys)

    async def RevokeApiKey(self, request: m.RevokeApiKeyRequest, context: Context) -> m.RevokeApiKeyResponse:
        """End an API key at once."""
        del context
        customer_id, key_id = names.read_api_key(request.name, "name")
        access.its_own(customer_id, request.name, CustomerNotFound)
        return m.RevokeApiKeyResponse(api_key=await self._desk.api_keys.revoke(customer_id, key_id))

    async def UpsertProfile(
        self, request: m.UpsertProfileRequest, context: Context
    ) -> m.UpsertProfileResponse:
        """Create a profile or change it."""
        del context
        customer_id = access.parent(request.parent)
        return m.UpsertProfileResponse(profile=await self._desk.profiles.upsert(customer_id, request))

    async def GetProfile(self, request: m.GetProfileRequest, context: Context) -> m.GetProfileResponse:
        """Show a profile."""
        del context
        name = access.owned(request.name, "profiles", ProfileNotFound)
        return m.GetProfileResponse(profile=await self._desk.profiles.get(name))

    async def ImportDirectories(
        self, request: m.ImportDirectoriesRequest, context: Context
    ) -> m.ImportDirectoriesResponse:
        """Put directories into the catalogue."""
        del context
        done = await self._desk.directories.put(request.directories)
        return m.ImportDirectoriesResponse(
            changed_count=done.changed_count, unchanged_count=done.unchanged_count
        )

    async def GetDirectory(self, request: m.GetDirectoryRequest, context: Context) -> m.GetDirectoryResponse:
        """Show a directory."""
        del context
        directory_id = names.read_directory(request.name, "name")
        return m.GetDirectoryResponse(directory=await self._desk.directories.get(directory_id))

    async def ListDirectories(
        self, request: m.ListDirectoriesRequest, context: Context
    ) -> m.ListDirectoriesResponse:
        """List the catalogue."""
        del context
        return await self._desk.lists.directories(request)
